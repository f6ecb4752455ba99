"""`python -m tier_engine api | worker | migrate | all`."""

from tenure.process import main

from tier_engine.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
