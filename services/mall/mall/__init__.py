"""mall: catalogue, stock, quotes, orders with a points hold, after-sales."""
