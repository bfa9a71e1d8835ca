"""Making interpreter starts guarded, and telling what is really active in one."""
