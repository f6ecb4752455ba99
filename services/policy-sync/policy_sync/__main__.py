from tenure.process import main

from policy_sync.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
