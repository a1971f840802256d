"""Sources of modules, as packages offer them."""

LASSO = '''
from regplug import Regularizer, hookimpl


class Lasso(Regularizer):
    """Sum of the absolute values."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return 0
'''
