"""What is on a VPS → an inventory (`init`), and how an inventory differs from what is there (`doctor`). Pure."""
