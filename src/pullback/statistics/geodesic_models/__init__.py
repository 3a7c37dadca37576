"""Models along geodesics: regression and principal geodesics."""
