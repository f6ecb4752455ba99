"""`python -m member_view api | worker | migrate | all`."""

from tenure.process import main

from member_view.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
