"""``python -m nasbench_ecg``: the command ``nasbench-ecg`` with this interpreter."""

from nasbench_ecg.cli import main

if __name__ == "__main__":
    main()
