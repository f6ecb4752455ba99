"""`python -m benefits api | worker | migrate | all`."""

from benefits.service import SERVICE
from tenure.process import main

if __name__ == "__main__":
    main(SERVICE)
