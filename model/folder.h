/* folder.h -- the tensors of a model folder and the files that hold them.  Private to model/. */
#ifndef MD_FOLDER_H
#define MD_FOLDER_H
#include "model/model.h"

typedef struct md_folder md_folder;

/* Opens the weights of DIR: the tensors and files that model.safetensors.index.json names, or model.safetensors if there is no
 * index.  Other files are ignored.  `dir` is borrowed.  RT_EFORMAT: DIR also holds a model.safetensors that the index does not
 * name, the index and its files disagree, or DIR holds an adapter.  RT_ENOENT: no weights. */
rt_status md_folder_open(md_folder **out, const char *dir);
void      md_folder_close(md_folder **f);
/* Returns the tensor NAMESUFFIX and sets *file to its file; NULL: the folder has no such tensor. */
const md_st_tensor *md_folder_find(const md_folder *f, const char *name, const char *suffix, md_st **file);
int64_t             md_folder_count(const md_folder *f);
const md_st_tensor *md_folder_at(const md_folder *f, int64_t i); /* in name order */
const char         *md_folder_dir(const md_folder *f);
#endif
