"""Networks that pass messages along the edges of simulation meshes."""
