# shellcheck shell=bash
# What the demo writes to the terminal: headings, statements as psql echoes them, one progress bar.
#
# Sourced. In: NO_COLOR, whether standard output is a terminal. Out: text of at most 80 columns.
# Holds: colour and \r only on a terminal; failures go to standard error with what to do next.

BAR_CELLS=24
RELATION_CELLS=18

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi
step='start'
step_number=0

heading() { # text
    step=$1
    step_number=$((step_number + 1))
    printf '\n%s%d. %s%s\n' "$bold" "$step_number" "$step" "$plain"
}

note() { # text
    printf '%s   %s%s\n' "$dim" "$1" "$plain"
}

die() { # message [hint]
    printf '\ndemo: %s\n' "$1" >&2
    if [ -n "${2:-}" ]; then printf 'hint: %s\n' "$2" >&2; fi
    trap - ERR
    exit 1
}

# Prints a statement the way an interactive psql session shows it.
echo_statement() { # sql
    local prompt='shop=#' line
    while IFS= read -r line; do
        printf '%s%s%s %s\n' "$dim" "$prompt" "$plain" "$line"
        prompt='shop-#'
    done <<<"$1"
}

# One line for a row of backup_progress. Cells beyond the hundred percent are never drawn.
bar_line() { # percent phase relation amount
    local percent=${1%%.*} filled
    percent=$((percent > 100 ? 100 : percent))
    filled=$((percent * BAR_CELLS / 100))
    local full=${bar_full:0:filled} rest=${bar_rest:0:BAR_CELLS - filled}
    printf '[%s%s] %3d %%  %-16.16s %-*.*s %s' "$full" "$rest" "$percent" "$2" \
        "$RELATION_CELLS" "$RELATION_CELLS" "$3" "$4"
}
printf -v bar_full '%*s' "$BAR_CELLS" ''
bar_rest=${bar_full// /.} bar_full=${bar_full// /#}

# Draws over the last bar on a terminal; elsewhere prints a line only where `key` has changed.
draw_bar() { # key line
    local line=${2%"${2##*[! ]}"}
    if [ -t 1 ]; then
        printf '\r\e[K%s' "$line"
    elif [ "$1" != "${last_bar_key:-}" ]; then
        printf '%s\n' "$line"
    fi
    last_bar_key=$1
}

end_bar() {
    if [ -t 1 ]; then printf '\n'; fi
}
