/* The sizes of the pieces that a batch is cut into, and which of them pay on this machine: where the caches hold the
 * intermediate results of one picture and not of eight, eight at once cost more than eight one by one. */

#ifndef PIECES_H
#define PIECES_H

#include "engine.h"

extern const uint64_t PIECES[SIZES]; /* falling, the last one is 1 */

/* Runs a job of each size a few times, and says which sizes pay: those whose rows cost no more than those of smaller
 * ones. All of them where that cannot be found out within the time that loading may take. */
void pieces_choose(worker_t *worker, bool pays[SIZES]);

#endif
