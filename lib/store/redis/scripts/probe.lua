#!lua
-- probe - whether a script that writes would run: refused by a server that is full, read-only,
-- cannot save, or has too few replicas.
return 1
