/* object.h -- object headers: the messages that describe a group or a data set. */
#ifndef DS_H5_OBJECT_H
#define DS_H5_OBJECT_H
#include "data/h5/block.h"

enum ds_h5_message {
    DS_H5_DATASPACE  = 1,
    DS_H5_LINK_INFO  = 2,
    DS_H5_DATATYPE   = 3,
    DS_H5_FILL       = 5,
    DS_H5_LINK       = 6,
    DS_H5_EXTERNAL   = 7,
    DS_H5_LAYOUT     = 8,
    DS_H5_GROUP_INFO = 10,
    DS_H5_FILTERS    = 11,
    DS_H5_ATTRIBUTE  = 12,
    DS_H5_CONTINUE   = 16,
    DS_H5_ATTR_INFO  = 21
};

/* ds_h5_object calls each() for every message of the object header (version 2) at `at`. */
typedef rt_status (*ds_h5_each)(void *ud, int type, ds_h5_cursor m);
rt_status ds_h5_object(const ds_h5_source *s, uint64_t at, ds_h5_each each, void *ud);
#endif
