"""Night after night of one job, in any order of edits, damage, faults, selections and kills."""
