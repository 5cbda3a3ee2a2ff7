/* Idle threads spin for a moment, since the next operator usually follows at once, and
 * then sleep. */
#include "threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_THREADS = 64, SPINS = 4000 };

struct Threads {
  pthread_t workers[MAX_THREADS];
  int num_workers;
  pid_t process;        /* The process of the workers; a forked child has none. */
  pthread_mutex_t busy; /* Held by the thread that called threads_run. */
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool stop;
  /* The current loop; `round` is incremented once its fields are set. */
  atomic_uint round;
  atomic_int next;
  atomic_int joined; /* How many workers may still join. */
  atomic_int inside; /* How many workers are in it. */
  int parts;
  Part part;
  void *data;
};

static inline void relax_cpu(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void run_parts(Threads *threads) {
  int index;
  while ((index = atomic_fetch_add(&threads->next, 1)) < threads->parts)
    threads->part(threads->data, index);
}

static unsigned wait_for_round(Threads *threads, unsigned seen) {
  for (int i = 0; i < SPINS; ++i) {
    unsigned round = atomic_load(&threads->round);
    if (round != seen) return round;
    relax_cpu();
  }
  pthread_mutex_lock(&threads->lock);
  while (atomic_load(&threads->round) == seen && !threads->stop)
    pthread_cond_wait(&threads->wake, &threads->lock);
  pthread_mutex_unlock(&threads->lock);
  return atomic_load(&threads->round);
}

static void *worker_main(void *argument) {
  Threads *threads = argument;
  unsigned seen = 0;
  for (;;) {
    unsigned round = wait_for_round(threads, seen);
    if (round == seen) return NULL; /* No new loop: the pool stops. */
    seen = round;
    /* A worker counts itself before it takes a place, so that the caller never leaves a
     * loop that a worker is about to enter. */
    atomic_fetch_add(&threads->inside, 1);
    if (atomic_fetch_sub(&threads->joined, 1) > 0) run_parts(threads);
    atomic_fetch_sub(&threads->inside, 1);
  }
}

Threads *threads_create(void) {
  Threads *threads = calloc(1, sizeof *threads);
  if (threads == NULL) return NULL;
  threads->process = getpid();
  pthread_mutex_init(&threads->busy, NULL);
  pthread_mutex_init(&threads->lock, NULL);
  pthread_cond_init(&threads->wake, NULL);
  return threads;
}

void threads_destroy(Threads *threads) {
  if (threads == NULL) return;
  if (threads->process !=
      getpid()) { /* Its locks may be held by threads of the parent. */
    free(threads);
    return;
  }
  pthread_mutex_lock(&threads->lock);
  threads->stop = true;
  pthread_cond_broadcast(&threads->wake);
  pthread_mutex_unlock(&threads->lock);
  for (int i = 0; i < threads->num_workers; ++i)
    pthread_join(threads->workers[i], NULL);
  pthread_cond_destroy(&threads->wake);
  pthread_mutex_destroy(&threads->lock);
  pthread_mutex_destroy(&threads->busy);
  free(threads);
}

void threads_run(Threads *threads, int number, int parts, Part part, void *data) {
  if (number > parts) number = parts;
  if (number > MAX_THREADS) number = MAX_THREADS;
  if (number < 2 || threads == NULL || threads->process != getpid() ||
      pthread_mutex_trylock(&threads->busy) != 0) {
    for (int i = 0; i < parts; ++i) part(data, i);
    return;
  }
  /* No worker is inside now. One that is late for the previous round finds no place. */
  threads->parts = parts;
  threads->part = part;
  threads->data = data;
  while (threads->num_workers < number - 1 &&
         pthread_create(&threads->workers[threads->num_workers], NULL, worker_main,
                        threads) == 0)
    ++threads->num_workers;
  atomic_store(&threads->next, 0);
  atomic_store(&threads->joined, number - 1);
  pthread_mutex_lock(&threads->lock);
  atomic_fetch_add(&threads->round, 1);
  pthread_cond_broadcast(&threads->wake);
  pthread_mutex_unlock(&threads->lock);
  run_parts(threads);
  atomic_store(&threads->joined, 0);
  while (atomic_load(&threads->inside) > 0) relax_cpu();
  pthread_mutex_unlock(&threads->busy);
}
