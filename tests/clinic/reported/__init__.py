"""Problems from public questions about PINNs, and the smallest inputs that showed a fault, stated anew."""

from clinic.reported import conduction, fields, ordinary, smallest
from clinic.reported.report import Report

#: Those with a public source, by name.
ASKED: dict[str, Report] = {
    report.name: report for report in (*ordinary.CASES, *conduction.CASES, *fields.CASES)
}
#: The smallest inputs, by name.
SMALLEST: dict[str, Report] = {report.name: report for report in smallest.CASES}
REPORTED: dict[str, Report] = {**ASKED, **SMALLEST}
