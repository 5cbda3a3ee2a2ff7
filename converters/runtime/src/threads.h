/* A thread pool for parallel loops. */
#ifndef BNN_THREADS_H
#define BNN_THREADS_H

typedef struct Threads Threads;
typedef void (*Part)(void *data, int index);

/* Returns NULL if memory is exhausted. Threads start when they are first needed. */
Threads *threads_create(void);
void threads_destroy(Threads *threads);

/* Calls part(data, i) for i from 0 to parts - 1 on up to `number` threads, at most 64,
 * the calling one included, and returns when all are done. If the pool is busy with
 * another loop, or no thread can be started, the calling thread does all the work. */
void threads_run(Threads *threads, int number, int parts, Part part, void *data);

#endif
