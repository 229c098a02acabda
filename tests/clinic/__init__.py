"""Small problems made sick in one known way, and healthy controls: what a diagnosis is tested on."""

from clinic import controls, problem_cases, training_cases
from clinic.patient import Patient

#: Every case by name, the sick ones first.
PATIENTS: dict[str, Patient] = {
    patient.name: patient
    for patient in (*training_cases.CASES, *problem_cases.CASES, *controls.CASES)
}
