"""The budgets of models, which all workers share: a call is reserved before it is made, and settled after."""
