/* Where spin keeps which states it has seen, in 5 bytes for each: its own table takes 40 and more, and a large run would not fit.
 *
 * A state is a hash of 64 bits. The upper ones say its slot; of the rest 33 are kept there, with how far from its own slot it lies (linear
 * probing, less than 127). Two states with the same hash would be taken for one: among 1,244 million states that is to be expected once in some
 * twenty-four runs. It is included into the program that spin writes, and takes the place of its h_store().
 */
#include <sys/mman.h>

#define KEPT 33
#define FARTHEST 126
#define BYTES 5

static unsigned char *table_of_states;

static int stored_before(unsigned long hash)
{
	const unsigned long slots = 1UL << SLOTS_LOG;
	if (!table_of_states) {
		table_of_states = mmap(0, BYTES * slots + sizeof(long), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (table_of_states == MAP_FAILED)
			uerror("no memory for the table of states");
		madvise(table_of_states, BYTES * slots, MADV_HUGEPAGE);
	}
	/* Mix, in the manner of splitmix64's finalizer. */
	hash ^= hash >> 29, hash *= 0xBF58476D1CE4E5B9UL, hash ^= hash >> 32, hash *= 0x94D049BB133111EBUL, hash ^= hash >> 29;
	const unsigned long own = hash >> (64 - SLOTS_LOG), rest = hash & ((1UL << KEPT) - 1);
	for (unsigned long far = 0; far < FARTHEST; far++) {
		unsigned char *at = table_of_states + BYTES * ((own + far) & (slots - 1));
		unsigned long is = 0, wanted = rest << 7 | (far + 1);
		memcpy(&is, at, BYTES);
		if (is == wanted)
			return 1;
		if (!is) {
			memcpy(at, &wanted, BYTES);
			return 0;
		}
	}
	uerror("the table of states is full");
	return 1;
}

/* Whether this state was there already; spin's own name for it, and its own hash, in K1 and K2. */
int h_store(char *state, int length)
{
	s_hash((uchar *) state, length);
	return stored_before(K1 ^ K2 * 0x9E3779B97F4A7C15UL);
}
