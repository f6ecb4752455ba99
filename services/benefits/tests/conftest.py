"""Lets the tests of benefits share `benefits_cast`, whose name no other service's tests have."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
