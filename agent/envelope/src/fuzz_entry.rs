//! Bodies of the fuzz targets: one for each parser of bytes from outside. None may panic on any input.
