"""`python -m benefits api | worker | migrate | all`."""

from tenure.process import main

from benefits.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
