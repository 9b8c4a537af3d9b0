# shellcheck shell=bash
# The tour: what each call of the extension says about the sample database.
#
# Sourced by scripts/demo.sh after cluster.sh. In: a running server with database shop.
# Out: each statement as psql echoes it, with its result; at least one verified backup.
# Holds: a call that fails, a backup that does not verify, ends the demo.

BAR_INTERVAL_SECONDS=0.1
# Ten minutes: the sample takes seconds even on a slow machine.
BACKUP_WAIT_TICKS=6000
CONTENTS_ROWS=12

tour() {
    create_extension
    first_backup
    look_inside
    verify_it
    heading 'Is everything fit for the next backup?'
    show 'SELECT check_name, status, detail, hint FROM backup_check();' -x
    restore_by_hand
    lose_and_restore
    schedule_it
}

show() { # sql [psql options]
    echo_statement "$1"
    ask "${@:2}" -c "$1"
}

# An extension that an older build created is created anew; its archives stay where they are.
create_extension() {
    local now
    now=$(build_fingerprint)
    heading 'The extension'
    if [ "$now" = "$(cat "$state/extension" 2>/dev/null)" ]; then
        note 'pg_backup is there from an earlier demo'
        return
    fi
    ask -q -c 'SET client_min_messages = warning' -c 'DROP EXTENSION IF EXISTS pg_backup CASCADE'
    show 'CREATE EXTENSION pg_backup;'
    printf '%s\n' "$now" >"$state/extension"
}

first_backup() {
    local comment='first backup'
    heading 'A backup' # recorded
    if [ -n "$(value 'SELECT 1 FROM backup_history LIMIT 1')" ]; then comment='another backup'; fi
    local sql="SELECT backup_create(comment => '$comment');"
    echo_statement "$sql"
    run_with_bar "$sql"
    backup_id=$(awk '/^ *[0-9]+ *$/ { print $1; exit }' "$state/answer")
    [ -n "$backup_id" ] || die 'backup_create() returned no id'

    show "SELECT id, kind, status, duration, pg_size_pretty(size_bytes) AS size,
       verify_level AS verified, comment
FROM backup_history ORDER BY id DESC LIMIT 5;"
}

# The call blocks its session until the backup is done; a second session watches it.
run_with_bar() { # sql
    local job tick
    ask -q -c "SET application_name = 'demo'" -c "$1" >"$state/answer" 2>"$state/complaint" &
    job=$!
    trap 'cancel_backup "interrupted; the backup is cancelled"' INT TERM
    for ((tick = 0; tick < BACKUP_WAIT_TICKS; tick++)); do
        kill -0 "$job" 2>/dev/null || break
        progress_tick
        sleep "$BAR_INTERVAL_SECONDS"
    done
    [ "$tick" -lt "$BACKUP_WAIT_TICKS" ] || cancel_backup 'the backup takes too long; cancelled'
    if ! wait "$job"; then
        end_bar
        cat "$state/complaint" >&2
        die 'backup_create() failed'
    fi
    trap - INT TERM
    draw_bar finished "$(bar_line 100 finished '' '')"
    end_bar
    cat "$state/complaint" >&2
    cat "$state/answer"
}

progress_tick() {
    local percent phase relation amount
    IFS=$'\t' read -r percent phase relation amount < <(value "
        SELECT coalesce(floor(percent), 0), phase, coalesce(relation, '-'),
            CASE WHEN bytes_total > 0 THEN format('%s/%s MB', bytes_done >> 20, bytes_total >> 20) END
        FROM backup_progress ORDER BY id DESC LIMIT 1") || return 0
    draw_bar "$phase$((${percent%%.*} / 25))" \
        "$(bar_line "$percent" "$phase" "$relation" "$amount")"
}

cancel_backup() { # why
    trap '' INT TERM
    end_bar
    value "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'demo' AND datname = 'shop'" >/dev/null
    die "$1"
}

look_inside() {
    heading 'What is in it'
    show "SELECT jsonb_pretty(i - 'run' - 'manifest' #- '{migrations,0,hash}'
    || jsonb_build_object(
        'roles', i #> '{manifest,roles}',
        'extensions',
        jsonb_path_query_array(i, '\$.manifest.extensions[*].name'),
        'compression', i #> '{manifest,dump,compression}'))
FROM backup_inspect($backup_id) AS i;" -A -t
    show "SELECT entry, type, schema, name, owner, rows, bytes
FROM backup_contents($backup_id) ORDER BY bytes DESC NULLS LAST LIMIT $CONTENTS_ROWS;" \
        -P border=0
}

verify_it() {
    heading 'Is it good? Every byte read and decoded' # recorded
    show "SELECT ok, subject, detail FROM backup_verify($backup_id, 'read');" | tee "$state/verdicts"
    if grep -qE '^ f +\|' "$state/verdicts" || ! grep -qE '^ t +\|' "$state/verdicts"; then
        die "backup $backup_id does not verify"
    fi
}

# A command line for the user's own shell: Debian's wrapper in PATH, else the private tree's
# program; `env -C /` where OS user postgres cannot be in the folder that the user is in.
server_command() { # program
    local as='' program
    if [ "$UID" -eq 0 ]; then
        as='runuser -u postgres -- '
        as_server test -x "$called_from" || as+='env -C / '
    fi
    program=$(command -v "$1" >/dev/null && echo "$1" || printf '%q' "$bin/$1")
    printf '%s%s -h %q' "$as" "$program" "$run"
}

# A schedule that fires at every full minute; its history before and after the next one.
schedule_it() {
    local runs="SELECT id, origin, status, to_char(queued_at, 'HH24:MI:SS') AS due,
       extract(milliseconds FROM started_at - queued_at)::int AS ms_late, file_state
FROM backup_history WHERE schedule = 'every minute' AND kind = 'backup'
ORDER BY id DESC LIMIT 4;"
    heading 'A schedule'
    show "CALL backup_schedule('every minute', '* * * * *', keep_last => 3,
    options => '{\"comment\": \"by itself\"}');" 2>&1
    show "SELECT backup_run('every minute') AS now_once;"
    show "$runs"
    wait_for_the_minute
    show "$runs"
    show "SELECT * FROM backup_retention('every minute');"
    show 'SELECT name, cron, next_run, last_status, missed FROM backup_schedules;'
    note 'it goes on at every minute; CALL backup_pause('"'every minute'"') stops it'
}

wait_for_the_minute() {
    local due="FROM backup_history WHERE schedule = 'every minute' AND kind = 'backup'
        AND origin = 'schedule' AND queued_at >= '$(value 'SELECT now()')' AND status"
    local tick left
    for ((tick = 0; tick < BACKUP_WAIT_TICKS; tick++)); do
        [ -z "$(value "SELECT 1 $due = 'succeeded' LIMIT 1")" ] || break
        [ -z "$(value "SELECT 1 $due IN ('failed', 'skipped') LIMIT 1")" ] ||
            die 'the scheduled run failed; see backup_history'
        left=$((60 - $(date +%s) % 60))
        draw_bar "wait$((left / 15))" "$(printf '   the next one in %2d s' "$left")"
        sleep "$BAR_INTERVAL_SECONDS"
    done
    end_bar
    [ "$tick" -lt "$BACKUP_WAIT_TICKS" ] || die 'the schedule did not fire'
}

# Nothing of pg_backup is needed to get at the data. The folder is removed with the demo.
restore_by_hand() {
    local archive folder=$demo/by-hand member
    archive=$(value "SELECT detail FROM backup_verify($backup_id, 'file') WHERE subject = 'file'")
    member=$(unzip -Z1 "$archive" | grep '^database\.dump')
    heading 'How to restore it without pg_backup' # recorded
    printf '   %s\n' "unzip -o -d $(printf %q "$folder") \\"
    printf '      %q\n' "$archive"
    if [ "$member" != "${member%.zst}" ]; then
        printf '   zstd -d -f %q\n' "$folder/$member"
    fi
    printf '   %s \\\n      -T template0 shop_by_hand\n' "$(server_command createdb)"
    printf '   %s \\\n      -d shop_by_hand < %q\n' "$(server_command pg_restore)" \
        "$folder/${member%.zst}"
}
