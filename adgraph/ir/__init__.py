"""What a program is: types, ops, nodes, graphs, their text, their interpreter and type-checker."""
