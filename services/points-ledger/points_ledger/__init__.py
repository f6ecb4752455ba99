"""points-ledger: what members earn, hold, spend, lose and owe, in double entry."""
