"""`python -m mall api | worker | migrate | all`."""

from tenure.process import main

from mall.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
