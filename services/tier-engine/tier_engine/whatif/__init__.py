"""What-if: draft rules over the real history of all members, as a job beside the live work that touches nothing of it."""
