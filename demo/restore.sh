# shellcheck shell=bash
# The end of the tour: a table is lost, the backup takes the place of the database, and back.
#
# Sourced by scripts/demo.sh after tour.sh. In: backup_id, a good backup of database shop.
# Out: shop as the backup has it. Holds: each swap is waited for; one that fails ends the demo.

LOST=sales.orders

lose_and_restore() {
    heading 'A table is lost' # recorded
    show "DROP TABLE $LOST CASCADE;" 2>&1 | grep -v '^drop cascades\|^DETAIL\|^and .* other' || true
    show "SELECT to_regclass('$LOST') IS NOT NULL AS there;"
    show "SELECT check_name, status, detail FROM backup_restore_check($backup_id, replace => 'shop')
WHERE status <> 'ok';"

    heading 'The backup takes its place' # recorded
    swap "CALL backup_restore($backup_id, replace => 'shop');"
    show "SELECT count(*) FROM $LOST;"
    show "SELECT id, kind, origin, status, duration, comment FROM backup_history LIMIT 3;"
    show "SELECT restore_id, kept_as, kept_until, pg_size_pretty(size_bytes) AS size
FROM backup_rollback_points;"

    heading 'And back, and forth'
    swap "CALL backup_rollback($run_id);"
    show "SELECT to_regclass('$LOST') IS NOT NULL AS there;"
    swap "CALL backup_rollback($run_id);"
    show "SELECT count(*) FROM $LOST;"
    show "CALL backup_accept($run_id);" 2>&1
}

# The call ends its own session: its run is asked for in new ones. Sets `run_id`.
swap() { # sql
    local tick status
    echo_statement "$1"
    ask -c "$1" >"$state/answer" 2>&1 || die "$(cat "$state/answer")"
    cat "$state/answer"
    run_id=$(awk '/^ *[0-9]+ *$/ { print $1; exit }' "$state/answer")
    for ((tick = 0; tick < BACKUP_WAIT_TICKS; tick++)); do
        status=$(value "SELECT status FROM backup_history WHERE id = $run_id" 2>/dev/null) || status=''
        case $status in
        succeeded) break ;;
        failed | cancelled | interrupted) die "run $run_id $status; see backup_history" ;;
        esac
        progress_tick 2>/dev/null || true
        sleep "$BAR_INTERVAL_SECONDS"
    done
    end_bar
    [ "$tick" -lt "$BACKUP_WAIT_TICKS" ] || die "run $run_id takes too long"
}
