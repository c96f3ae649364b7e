/* completion.c - retrybuild completion SHELL: a script that asks the program itself for its words
 * (COMMAND --complete), so that nothing is written down twice. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "cli.h"

static const char bash_script[] =
    "_retrybuild() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} words\n"
    "    COMPREPLY=()\n"
    "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
    "        words=$(retrybuild --complete 2>/dev/null | cut -f1)\n"
    "    elif [[ $current == -* ]]; then\n"
    "        words=$(retrybuild \"${COMP_WORDS[1]}\" --complete 2>/dev/null | cut -f1)\n"
    "    else\n"
    "        case ${COMP_WORDS[COMP_CWORD - 1]} in\n"
    "        *-file | --config) COMPREPLY=($(compgen -f -- \"$current\")) ; return ;;\n"
    "        esac\n"
    "        case ${COMP_WORDS[1]} in\n"
    "        send | explain) COMPREPLY=($(compgen -f -- \"$current\")) ; return ;;\n"
    "        completion) words='bash zsh fish' ;;\n"
    "        esac\n"
    "    fi\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
    "}\n"
    "complete -F _retrybuild retrybuild\n";

static const char zsh_script[] =
    "#compdef retrybuild\n"
    "_retrybuild() {\n"
    "    local -a words_with_help\n"
    "    if ((CURRENT == 2)); then\n"
    "        words_with_help=(${(f)\"$(retrybuild --complete 2>/dev/null | tr '\\t' ':')\"})\n"
    "        _describe command words_with_help\n"
    "    elif [[ $words[CURRENT] == -* ]]; then\n"
    "        words_with_help=(${(f)\"$(retrybuild $words[2] --complete 2>/dev/null | tr '\\t' "
    "':')\"})\n"
    "        _describe option words_with_help\n"
    "    elif [[ $words[2] == completion ]]; then\n"
    "        compadd bash zsh fish\n"
    "    else\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "compdef _retrybuild retrybuild\n";

static const char fish_script[] =
    "function __retrybuild_words\n"
    "    set -l line (commandline -opc)\n"
    "    if test (count $line) -eq 1\n"
    "        retrybuild --complete 2>/dev/null\n"
    "    else if test $line[2] = completion\n"
    "        printf '%s\\n' bash zsh fish\n"
    "    else\n"
    "        retrybuild $line[2] --complete 2>/dev/null\n"
    "    end\n"
    "end\n"
    "complete -c retrybuild -n 'test (count (commandline -opc)) -eq 1' -f\n"
    "complete -c retrybuild -a '(__retrybuild_words)'\n";

static int run(int argc, char **argv)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_completion, argc, argv, NULL, 0, 1, 1, &words, &status)) {
        return status;
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(scripts); i++) {
        if (rb_str_eq(scripts[i].shell, words.items[0])) {
            (void)fputs(scripts[i].script, stdout);
            return RB_EXIT_OK;
        }
    }
    rb_cli_error(&rb_command_completion, "'%.40s' is none of bash, zsh, fish", words.items[0]);
    return RB_EXIT_USAGE;
}

const struct rb_command rb_command_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .summary = "print a script that completes words in a shell",
    .run = run,
};
