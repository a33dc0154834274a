"""Every shipped dataset keeps the contract that is asked of those from outside.

Those of PhysioNet are read from the records of NASBENCH_ECG_DATA, a few each.
"""

from __future__ import annotations

import pytest
from contract_classes import contracts_of

SVDB = ("800", "801", "803", "806", "820", "840", "860")
MITBIH = ("101", "106", "114", "100", "105", "200")
FEW = {
    "synthetic-2lead": {"patients": 12, "minutes": 1.0},
    "mitbih-1lead": {"records": MITBIH, "leads": ("#0",)},
    "mitbih-2lead": {"records": MITBIH, "leads": ("#0", "#1")},
    "mitbih-2lead-context": {"records": MITBIH, "leads": ("#0", "#1")},
    "mitbih-2lead-rhythm": {"records": MITBIH, "leads": ("#0", "#1")},
    "svdb-2lead": {"records": SVDB},
    "svdb-2lead-context": {"records": SVDB},
    "svdb-2lead-rhythm": {"records": SVDB},
    "mitbih-svdb-rhythm": {"records": (*MITBIH, *SVDB), "leads": ("#0", "#1")},
    "incart-2lead": {"records": tuple(f"I{n:02}" for n in (1, 3, 6, 8, 9, 12, 15))},
    "mitbih-features": {"records": MITBIH},
    "iemmc-beats": {"counts": {"N": 60, "S": 20, "V": 30, "F": 10, "Q": 20}},
    "iemmc-records": {"records": ("106", "119", "200", "208", "221"), "normal": 30, "other": 20},
    "qt-1lead": {"records": ("sel100", "sel102", "sel103", "sel104", "sel114", "sel116")},
}
options = {name: {"dataset": chosen} for name, chosen in FEW.items()}
contracts = contracts_of("dataset", options=options, exempt={})
for contract in contracts.values():
    if contract.name in {"mitbih-features", "mitbih-svdb-rhythm", "iemmc-beats", "iemmc-records"}:
        pytest.mark.slow(contract)
globals().update(contracts)
