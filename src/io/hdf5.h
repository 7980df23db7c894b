/* SPDX-License-Identifier: MIT */
/* hdf5.h - libhdf5 and libnetcdf from several threads. */
#ifndef SG_IO_HDF5_H
#define SG_IO_HDF5_H

#include <stdbool.h>

/* One thread at a time in libhdf5 and libnetcdf: round every call into them. Not recursive. */
void hdf5_lock(void);
void hdf5_unlock(void);
/* Is there address space (ulimit -v) for opening a file? Without it these libraries crash. */
bool hdf5_has_room(void);

#endif
