"""`python -m notifier api | worker | migrate | all`."""

from tenure.process import main

from notifier.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
