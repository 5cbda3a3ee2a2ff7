/* Threads that share out the parts of one computation after the other. */
#ifndef BNN_THREADS_H
#define BNN_THREADS_H

typedef struct Threads Threads;
typedef void (*Part)(void *data, int index);

/* Returns NULL where there is no memory. Threads start when they are first needed. */
Threads *threads_create(void);
void threads_destroy(Threads *threads);

/* Calls part(data, i) for i from 0 to parts - 1, on up to `number` threads, the calling
 * one among them, and 64 at most. Returns when all are done. Where the threads are busy with another
 * computation, or cannot be started, the calling one does it all. */
void threads_run(Threads *threads, int number, int parts, Part part, void *data);

#endif
