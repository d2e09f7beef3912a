/* Count the primes below N with a sieve: cc -O2 -o primes primes.c && ./primes 10000000 */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 10000000, count = 0;
    if (n < 2 || n > 2000000000L) {
        fprintf(stderr, "primes: give a number from 2 to 2000000000\n");
        return 2;
    }
    unsigned char *composite = calloc((size_t)n, 1);
    if (!composite) {
        perror("primes");
        return 1;
    }
    for (long i = 2; i < n; i++) {
        if (composite[i]) continue;
        count++;
        for (long j = i * i; j < n; j += i) composite[j] = 1;
    }
    printf("%ld primes below %ld\n", count, n);
    free(composite);
    return 0;
}
