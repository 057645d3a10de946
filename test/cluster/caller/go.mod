module modelroute.dev/caller

go 1.26
