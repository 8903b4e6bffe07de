/* probe.h -- finds out by requests what a server can do. */
#ifndef TC_PROBE_H
#define TC_PROBE_H
#include "teacher/dialect.h"

/* Ask the server for its models, and choose the dialect: the one that o names, or the first that recognises the server.  Then,
 * where need->k > 0, `tiny` and the dialect scores, score a short prompt with k (and a sample of the tail).
 * RT_EINVAL: no such model, or the server does not give what is needed; RT_ENET, RT_EFORMAT as of any response. */
rt_status tc_probe(tc_server *s, tc_http *h, const tc_endpoint *e, const tc_options *o, const tc_need *need, int tiny);
/* To JSON of at most 1,000 bytes, equal for equal servers, and back. */
rt_status tc_server_text(const tc_server *s, rt_buf *json);
rt_status tc_server_read(tc_server *s, rt_buf *json);
#endif
