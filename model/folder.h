/* folder.h -- which file of a model's folder holds a tensor.  Private to model/. */
#ifndef MD_FOLDER_H
#define MD_FOLDER_H
#include "model/model.h"

typedef struct md_folder md_folder;

/* The weights of DIR: those that model.safetensors.index.json names, in the files that it names, whatever else lies there;
 * without an index those of model.safetensors.  RT_EFORMAT where the two could be different models, where the index and its
 * files disagree, or where an adapter stands beside the weights. */
rt_status md_folder_open(md_folder **out, const char *dir);
void      md_folder_close(md_folder **f);
/* The tensor NAME SUFFIX and its file; NULL: the folder has none. */
const md_st_tensor *md_folder_find(const md_folder *f, const char *name, const char *suffix, md_st **file);
int64_t             md_folder_count(const md_folder *f);
const md_st_tensor *md_folder_at(const md_folder *f, int64_t i); /* by name */
const char         *md_folder_dir(const md_folder *f);
#endif
