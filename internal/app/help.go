// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"strings"
)

// helpWidth is how wide the help is: what fits beside the line numbers of a
// reviewer and into 80 columns.
const helpWidth = 80

// writeHelp prints the help of the program or of the chosen sub-command.
func (p *parser) writeHelp(w io.Writer) {
	if c := p.command(); c != nil {
		p.writeCommandHelp(w, c)
		return
	}
	name := p.spec.Name
	fmt.Fprintf(w, "%s: %s\n\nUsage: %s [flags]\n       %s COMMAND [flags]\n\nCommands:\n", name, p.spec.Doc, name, name)
	for _, c := range p.commands {
		fmt.Fprintf(w, "  %s\n", strings.TrimSpace(c.Name+" "+p.arguments(c.Name)))
		writeWrapped(w, c.Help)
	}
	fmt.Fprintf(w, "\nEvery setting is a flag, an environment variable (beside it) and a key of the\n"+
		"YAML file; the flag wins over the variable, that over the file, that over the\n"+
		"default. Flags marked ... may be repeated: one value per line in a variable.\n")
	writeFlags(w, p.flagDocs(name))
}

func (p *parser) writeCommandHelp(w io.Writer, c *Command) {
	usage := strings.Join(strings.Fields(p.spec.Name+" "+c.Name+" "+p.arguments(c.Name)+" [flags]"), " ")
	fmt.Fprintf(w, "%s\n\nUsage: %s\n", strings.TrimSuffix(c.Help, "."), usage)
	if len(p.commandFlags()) > 0 {
		writeFlags(w, p.flagDocs(c.Name))
	}
	if c.Settings {
		fmt.Fprintf(w, "\nIt takes the settings of the program as well: %s --help\n", p.spec.Name)
	} else {
		fmt.Fprintf(w, "\nOf the program's settings it reads --admin-listen and --control alone.\n")
	}
}

// arguments writes a sub-command's positional arguments: "[live|ready|startup]".
func (p *parser) arguments(command string) string {
	var parts []string
	for _, child := range p.kong.Model.Children {
		if child.Name != command {
			continue
		}
		for _, arg := range child.Positional {
			text := strings.ToUpper(arg.Name)
			if arg.Enum != "" {
				text = strings.Join(arg.EnumSlice(), "|")
			}
			if arg.IsCumulative() {
				text += " ..."
			}
			if !arg.Required {
				text = "[" + text + "]"
			}
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " ")
}

// writeFlags prints the flags under their groups' headings.
func writeFlags(w io.Writer, docs []FlagDoc) {
	group := ""
	for _, d := range docs {
		if d.Group != group {
			group = d.Group
			fmt.Fprintf(w, "\n%s:\n", group)
		}
		line := "  " + d.Flag
		if d.Placeholder != "" {
			line += "=" + d.Placeholder
		}
		if d.Repeatable {
			line += " ..."
		}
		if d.Env != "" {
			line = fmt.Sprintf("%-42s  %s", line, d.Env)
		}
		fmt.Fprintln(w, line)
		writeWrapped(w, d.Help+d.suffix())
	}
}

// suffix says what holds for the flag beyond its help.
func (d FlagDoc) suffix() string {
	var notes []string
	if d.Required {
		notes = append(notes, "required")
	}
	if d.Default != "" {
		notes = append(notes, "default "+d.Default)
	}
	if d.Secret {
		notes = append(notes, "environment or file only")
	}
	if len(d.Aliases) > 0 {
		notes = append(notes, "also --"+strings.Join(d.Aliases, ", --"))
	}
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, "; ") + ")"
}

// writeWrapped prints a text indented and broken between words.
func writeWrapped(w io.Writer, text string) {
	const indent = "      "
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word)+1 > helpWidth && len(line) > len(indent) {
			fmt.Fprintln(w, line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	if len(line) > len(indent) {
		fmt.Fprintln(w, line)
	}
}
