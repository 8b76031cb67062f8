"""What people can do: one folder each, all alike (model, rules, fold, service, follow). They await, but never spawn."""
