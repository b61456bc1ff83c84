"""A local page that asks models: `softmask demo`. Plain forms and HTML, without scripts."""
