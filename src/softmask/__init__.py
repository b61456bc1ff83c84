"""SoftMask++: vision-language pretraining with text-driven soft masks.

Read `tasks` for the method, `losses` for its equations, `backbone` and `nn` for the network,
`saliency` for the maps. Data lives in the sibling package `data_modules`.
"""

__version__ = "0.1.0"
