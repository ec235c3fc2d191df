"""Pure functions of values: numbers as text, figures, tables. They read nothing and draw nothing themselves."""
