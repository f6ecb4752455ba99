"""`python -m points_ledger api | worker | migrate | all`."""

from tenure.process import main

from points_ledger.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
