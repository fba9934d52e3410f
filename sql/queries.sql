-- Every SQL statement of mod_apikey, by name.  Both databases run the same text.
-- "-- name: NAME" begins a statement; it ends at the next name.  %s is an
-- argument, bound as text: a number is CAST where it is compared or stored.

-- name: ping
SELECT 1
