"""Why there is a finding at a line, or what is known of the line and why no rule speaks of it."""
