"""A whole record of a diagnosis, made up with numpy: what the page and the check are tested on."""

from __future__ import annotations

from typing import Any

import numpy as np

STEPS = 4000


def sample_record(dimensions: int = 2, seed: int = 0, name: str = "wave1d") -> dict[str, Any]:
    """A plausible record of a PINN on one or two coordinates that leaves its boundary behind."""
    rng = np.random.default_rng(seed)
    coordinates = ["x", "t"][:dimensions]
    conditions = (
        ["boundary", "residual"] if dimensions == 1 else ["boundary", "initial", "residual"]
    )
    sizes = {c: 300 if c == "residual" else (2 if dimensions == 1 else 120) for c in conditions}
    points = {c: _points(rng, c, sizes[c], dimensions) for c in conditions}
    return {
        "schema": "pinntk-diagnosis",
        "schema_version": 3,
        "problem": {
            "name": name,
            "coordinates": coordinates,
            "fields": ["u"],
            "conditions": {c: {"points": n, "residuals": n} for c, n in sizes.items()},
            "has_solution": True,
        },
        "parameters": 7701,
        "seed": seed,
        "draws": 3,
        "settings": {
            "problem": {"name": name, "conditions": {c: {"points": sizes[c]} for c in conditions}},
            "network": {"type": "Network", "width": 50, "depth": 3, "hard": False},
            "training": {
                "optimizer": {"type": "FirstOrder", "learning_rate": 1e-3},
                "steps": STEPS,
                "weighting": {"type": "Fixed", "weights": {}},
            },
            "dtype": "float32",
        },
        "verdict": [
            "The condition 'boundary' converges about 1,300× slower than 'residual', so training fits "
            "'residual' and leaves 'boundary' behind.",
            "Half of what is left lies in directions that 4,000 steps do not reach.",
            "The weights of Algorithm 1 took the relative error from 0.42 to 0.021 in the same time.",
        ],
        "findings": _findings(),
        "forecast": _forecast(conditions, sizes),
        "spectra": {
            "before": _spectra(conditions, sizes, 1.0),
            "after": _spectra(conditions, sizes, 4.0),
            "noise_floor": {"before": 3e-3, "after": 1.2e-2},
        },
        "baseline": _baseline(rng, conditions),
        "maps": _maps(dimensions, rng),
        "points": points,
        "modes": _modes(points, rng),
        "trials": _trials(rng),
        "winner": {
            "name": "weights by Algorithm 1",
            "option": "--weighting ntk --every 100",
            "command": f"pinntk train {name} --weighting ntk --every 100 --out runs/{name}",
            "code": "training.replace(weighting=pk.NTKWeights(every=100))",
            "held_out_before": 0.31,
            "held_out_after": 4.4e-3,
            "relative_l2_before": 0.42,
            "relative_l2_after": 0.021,
            "expected_before": 0.4,
            "estimate_before": None,
            "estimate_after": None,
            "cure": True,
            "doubt": "",
            "sentence": "Cure: the relative error went from 0.42 to 0.021.",
            "gap": None,
        },
        "expected": 0.4,
        "provenance": {
            "pinntk": "0.1.0",
            "jax": "0.10.2",
            "python": "3.11.7",
            "platform": "Linux x86_64",
            "device": "cpu",
            "dtype": "float32",
            "command": f"pinntk diagnose {name} --budget 60s",
            "date": "2026-03-14T15:09:26Z",
            "seconds": 58.3,
        },
    }


def without_optional(record: dict[str, Any]) -> dict[str, Any]:
    """The same record where nothing was trained and no solution is known."""
    empty: dict[str, Any] = {
        "baseline": None,
        "maps": None,
        "winner": None,
        "expected": None,
        "modes": [],
        "trials": [],
        "points": {},
    }
    spectra = record["spectra"]
    floor = {"before": spectra["noise_floor"]["before"], "after": None}
    problem = {**record["problem"], "has_solution": False}
    before = {"before": spectra["before"], "after": None, "noise_floor": floor}
    return {**record, **empty, "problem": problem, "spectra": before}


def renamed(value: Any, old: str, new: str) -> Any:
    """The same record with one name, as key and as text, replaced everywhere."""
    if isinstance(value, dict):
        return {renamed(k, old, new): renamed(v, old, new) for k, v in value.items()}
    if isinstance(value, list):
        return [renamed(item, old, new) for item in value]
    return value.replace(old, new) if isinstance(value, str) else value


def _points(rng, condition: str, n: int, dimensions: int) -> list[list[float]]:
    if dimensions == 1:
        return [[0.0], [1.0]] if condition == "boundary" else rng.random((n, 1)).tolist()
    found = rng.random((n, 2))
    if condition == "boundary":
        found[:, 0] = np.arange(n) % 2
    elif condition == "initial":
        found[:, 1] = 0.0
    return found.tolist()


def _findings() -> list[dict[str, Any]]:
    def remedy(text, changes, option, code):
        record = "10 times better in 2 of 2 planted cases" if "Algorithm" in text else ""
        return {
            "text": text,
            "changes": changes,
            "option": option,
            "code": code,
            "record": record,
        }

    return [
        {
            "failure_mode": "imbalance",
            "title": "Imbalance",
            "severity": "severe",
            "confidence": 1.0,
            "sentence": "The condition 'boundary' converges about 1,300× slower than 'residual'.",
            "reason": "Gradient descent reduces a condition at the rate tr K/N of its kernel block. Where "
            "these rates differ by orders of magnitude, the slow condition stands still while the fast "
            "one is fitted.",
            "evidence": {"ratio of rates": 1311.4, "slowest": "boundary", "fastest": "residual"},
            "plot": "rates",
            "remedies": [
                remedy(
                    "Weigh the conditions so that their rates are the same.",
                    ["training.weighting.type: Fixed, now NTKWeights"],
                    "--weighting ntk --every 100",
                    "training.replace(weighting=pk.NTKWeights(every=100))",
                ),
                remedy(
                    "Or build the boundary values into the network.",
                    ["network.hard: False, now True"],
                    "--hard",
                    "network.replace(hard=True)",
                ),
            ],
        },
        {
            "failure_mode": "spectral bias",
            "title": "Spectral bias",
            "severity": "moderate",
            "confidence": 2 / 3,
            "sentence": "53% of the residual lies in directions that 4,000 steps do not reach.",
            "reason": "The kernel has small eigenvalues where the network would have to bend fast, and "
            "the residual is large there.",
            "evidence": {"share out of reach": 0.53, "slow directions": 41},
            "plot": "modes",
            "remedies": [
                remedy(
                    "Give the network waves to start from.",
                    ["network.fourier_features: 0, now 64"],
                    "--fourier-features 64 --fourier-scale 2",
                    "network.replace(fourier_features=64, fourier_scale=2.0)",
                )
            ],
        },
        {
            "failure_mode": "precision",
            "title": "Precision",
            "severity": "note",
            "confidence": 1.0,
            "sentence": "19 eigenvalues lie below the rounding noise of float32.",
            "reason": "What lies in these directions is not seen in this precision.",
            "evidence": {"eigenvalues below noise": 19},
            "plot": "spectra",
            "remedies": [],
        },
    ]


def _forecast(conditions: list[str], sizes: dict[str, int]) -> dict[str, Any]:
    rows = {}
    for i, c in enumerate(conditions):
        rate = 31.0 * 1311 ** (i / (len(conditions) - 1))
        rows[c] = {
            "name": c,
            "loss": 0.5 * 10**i,
            "trace": rate * sizes[c],
            "rate": rate,
            "largest_eigenvalue": rate * sizes[c] / 3,
            "rank": sizes[c] - 19 * (c == "residual"),
            "residuals": sizes[c],
            "weight": 1.0,
            "ntk_weight": 40641.0 / rate,
        }
    return {
        "conditions": rows,
        "imbalance": 1311.4,
        "largest_eigenvalue": 4.1e6,
        "noise_floor": 3e-3,
        "stable_step": 7.3e-5,
        "learning_rate": 6.6e-5,
        "planned_learning_rate": None,
        "steps": STEPS,
    }


def _spectra(conditions: list[str], sizes: dict[str, int], scale: float) -> dict[str, Any]:
    def falling(n: int, largest: float) -> list[float]:
        return (scale * largest * np.arange(1, n + 1) ** -3.2).tolist()

    blocks = {c: falling(sizes[c], 4e6 if c == "residual" else 3e3) for c in conditions}
    whole = sorted((value for block in blocks.values() for value in block), reverse=True)
    return {"kernel": whole, "conditions": blocks}


def _decay(rng, steps: np.ndarray, start: float, end: float) -> list[float]:
    smooth = end + (start - end) * np.exp(-7 * steps / STEPS)
    return (smooth * np.exp(0.06 * rng.standard_normal(len(steps)))).tolist()


def _baseline(rng, conditions: list[str]) -> dict[str, Any]:
    steps = np.arange(0, STEPS + 1, 100)
    ends = dict(zip(conditions, np.geomspace(0.2, 2e-3, len(conditions)).tolist(), strict=True))
    looked = np.array([0, 500, 1000, 2000, 4000])
    return {
        "steps": STEPS,
        "seconds": 12.4,
        "outcome": "finished",
        "message": "",
        "relative_l2": 0.42,
        "history": {
            "steps": steps.tolist(),
            "losses": {c: _decay(rng, steps, 5.0, end) for c, end in ends.items()},
            "predicted": {
                c: (end / 3 + 5.0 * np.exp(-5 * steps / STEPS)).tolist() for c, end in ends.items()
            },
            "weights": {c: [1.0] * len(steps) for c in conditions},
            "held_out": {c: _decay(rng, steps, 5.5, 1.4 * end) for c, end in ends.items()},
            "relative_l2": _decay(rng, steps, 1.1, 0.42),
        },
        "rates": {
            "steps": looked.tolist(),
            "conditions": {
                c: (31.0 * 1311 ** (i / (len(conditions) - 1)) * (1 + looked / STEPS)).tolist()
                for i, c in enumerate(conditions)
            },
        },
    }


def _maps(dimensions: int, rng) -> dict[str, Any]:
    n = 101 if dimensions == 1 else 61
    grid = np.linspace(0.0, 1.0, n)
    axes = [{"name": name, "values": grid.tolist()} for name in ["x", "t"][:dimensions]]
    x, t = np.meshgrid(grid, grid, indexing="ij") if dimensions == 2 else (grid, np.zeros(n))
    exact = np.sin(np.pi * x) * np.cos(2 * np.pi * t)
    exact += 0.5 * np.sin(4 * np.pi * x) * np.cos(8 * np.pi * t)
    prediction = 0.7 * exact + 0.15 * np.cos(np.pi * x)
    residual = 0.05 * np.sin(9 * np.pi * x) * np.cos(5 * np.pi * t) + 0.01
    residual += 0.004 * rng.standard_normal(residual.shape)
    return {
        "axes": axes,
        "title": "",
        "prediction": {"u": prediction.tolist()},
        "error": {"u": (prediction - exact).tolist()},
        "residual": {"residual": residual.tolist()},
    }


def _modes(points: dict[str, Any], rng) -> list[dict[str, Any]]:
    inside = np.array(points["residual"])
    found = []
    for i, share in enumerate([0.31, 0.14, 0.08]):
        wave = np.sin((i + 2) * np.pi * inside[:, 0])
        if inside.shape[1] == 2:
            wave = wave * np.cos((i + 1) * np.pi * inside[:, 1])
        found.append(
            {
                "eigenvalue": 0.4 / 10**i,
                "share": share,
                "condition": "residual",
                "points": inside.tolist(),
                "values": (wave / np.linalg.norm(wave)).tolist(),
            }
        )
    return found


def _trials(rng) -> list[dict[str, Any]]:
    plans = [
        ("as planned", "", "", [], 0.31, 0.42, 3),
        (
            "weights by Algorithm 1",
            "--weighting ntk --every 100",
            "training.replace(weighting=pk.NTKWeights(every=100))",
            ["training.weighting.type: Fixed, now NTKWeights"],
            4.4e-3,
            0.021,
            3,
        ),
        (
            "Fourier features",
            "--fourier-features 64",
            "network.replace(fourier_features=64)",
            ["network.fourier_features: 0, now 64"],
            0.06,
            0.17,
            2,
        ),
        (
            "hard boundary",
            "--hard",
            "network.replace(hard=True)",
            ["network.hard: False, now True"],
            0.12,
            0.25,
            1,
        ),
    ]
    found = []
    for name, option, code, changes, held_out, error, rounds in plans:
        seconds = np.linspace(0.5, 4.0 * rounds, 20)
        fall = np.exp(-seconds)
        found.append(
            {
                "name": name,
                "option": option,
                "code": code,
                "changes": changes,
                "outcome": "finished" if rounds == 3 else "stopped",
                "reason": "",
                "steps": 1300 * rounds,
                "planned": 4000,
                "seconds": 4.0 * rounds,
                "compilation": 0.4,
                "estimate": None,
                "held_out": held_out,
                "relative_l2": error,
                "rounds": rounds,
                "kept": rounds == 3,
                "history": {
                    "seconds": seconds.tolist(),
                    "held_out": (held_out + 5 * fall).tolist(),
                    "relative_l2": (error + fall).tolist(),
                },
            }
        )
    return found
