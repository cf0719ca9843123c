/* The suite every blob store driver passes, run over each of them, sealed and plain. */
/* links: portolan_data */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/file.h"
#include "common/crypto/seal.h"
#include "dataplane/blobs/blobs.h"

#include <cmocka.h> /* last: its fail() is another one */

#define REGISTRY  "6f1c7a52-0d3c-4a3a-9a59-0b1f4f0f8a11"
#define HOT_BYTES 210000 /* two of the files of test_hot_bytes() are more */
#define CANARY    "CANARY-of-the-test-7c41"

struct fixture {
    char root[64];
    struct blob_store *store;
    struct blob_config config;
    uint8_t key[SEAL_KEY_BYTES];
};

static void open_store(struct fixture *f, const struct blob_driver *driver)
{
    struct error err = { 0 };
    f->config.root = f->root;
    f->config.registry_id = REGISTRY;
    f->config.key = f->key;
    f->config.epoch = 3;
    assert_int_equal(driver->open(&f->config, &f->store, &err), 0);
}

static void set_up(struct fixture *f, const struct blob_driver *driver, bool is_sealing)
{
    *f = (struct fixture){ .root = "/tmp/portolan-blobs-XXXXXX" };
    assert_non_null(mkdtemp(f->root));
    memset(f->key, 7, sizeof(f->key));
    f->config.is_sealing = is_sealing;
    f->config.hot_bytes = HOT_BYTES;
    open_store(f, driver);
}

static void tear_down(struct fixture *f)
{
    struct error err = { 0 };
    f->store->driver->close(f->store);
    assert_int_equal(file_remove_tree(f->root, &err), 0);
}

static uint8_t *pattern(size_t len)
{
    uint8_t *bytes = malloc(len + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
    return bytes;
}

static struct blob_ref put(struct fixture *f, const void *bytes, size_t len, size_t step)
{
    struct error err = { 0 };
    struct blob_writer *w = NULL;
    struct blob_ref ref;
    assert_int_equal(blob_writer_new(f->store, false, &w, &err), 0);
    for (size_t at = 0; at < len; at += step) {
        size_t n = len - at < step ? len - at : step;
        assert_int_equal(blob_writer_add(w, (const uint8_t *)bytes + at, n, &err), 0);
    }
    assert_int_equal(blob_writer_size(w), len);
    assert_int_equal(blob_writer_finish(w, &err), 0);
    blob_writer_ref(w, &ref);
    assert_int_equal(blob_writer_commit(w, &err), 0);
    assert_int_equal(blob_writer_commit(w, &err), 0);
    blob_writer_free(w);
    return ref;
}

static void check_range(struct fixture *f, const struct blob_ref *ref, const uint8_t *bytes,
                        size_t offset, size_t len, size_t cap)
{
    const struct blob_driver *d = f->store->driver;
    struct error err = { 0 };
    struct blob_reader *reader = NULL;
    uint8_t *got = malloc(len + 1);
    assert_non_null(got);
    assert_int_equal(d->get(f->store, ref, &reader, &err), 1);
    for (size_t at = 0; at < len;) {
        size_t want = len - at < cap ? len - at : cap;
        ssize_t n = d->read(reader, offset + at, got + at, want, &err);
        assert_true(n > 0);
        at += (size_t)n;
    }
    assert_memory_equal(got, bytes + offset, len);
    d->release(reader);
    free(got);
}

static void test_round_trip(const struct blob_driver *driver, bool is_sealing)
{
    static const size_t sizes[] = {
        0, 1, 4096, 65535, 65536, 65537, 65552, 131072, 200000, 1048576
    };
    static const size_t steps[] = { 1000, 65536, 300000 };
    static const size_t caps[] = { 777, 65536, 65552, 200000 };
    struct fixture f;
    set_up(&f, driver, is_sealing);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t *bytes = pattern(sizes[i]);
        struct blob_ref ref = put(&f, bytes, sizes[i], steps[i % ARRAY_LEN(steps)]);
        struct digest expected;
        digest_of(DIGEST_SHA256, bytes, sizes[i], &expected);
        assert_true(digest_equal(&ref.digest, &expected));
        assert_int_equal(ref.is_sealed, is_sealing);
        for (size_t c = 0; c < ARRAY_LEN(caps); c++)
            check_range(&f, &ref, bytes, 0, sizes[i], caps[c]);
        if (sizes[i] > 70000)
            check_range(&f, &ref, bytes, 65530, 4000, 1000);
        free(bytes);
    }
    tear_down(&f);
}

static void test_life(const struct blob_driver *driver, bool is_sealing)
{
    struct fixture f;
    struct error err = { 0 };
    struct blob_reader *reader = NULL;
    set_up(&f, driver, is_sealing);
    struct blob_ref ref = put(&f, "hello", 5, 5);
    struct blob_ref absent = ref;
    absent.digest.bytes[0] ^= 1;

    assert_int_equal(driver->exists(f.store, &ref.digest, &err), 1);
    assert_int_equal(driver->exists(f.store, &absent.digest, &err), 0);
    assert_int_equal(driver->get(f.store, &absent, &reader, &err), 0);
    /* An open reader outlives the removal. */
    assert_int_equal(driver->get(f.store, &ref, &reader, &err), 1);
    assert_int_equal(driver->remove(f.store, &ref.digest, &err), 0);
    assert_int_equal(driver->remove(f.store, &ref.digest, &err), 0);
    char got[5];
    assert_int_equal(driver->read(reader, 0, got, sizeof(got), &err), 5);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(driver->read(reader, 5, got, sizeof(got), &err), 0);
    driver->release(reader);
    assert_int_equal(driver->exists(f.store, &ref.digest, &err), 0);
    /* Written again, also over itself, and read after opening the tree anew. */
    ref = put(&f, "hello", 5, 1);
    ref = put(&f, "hello", 5, 2);
    driver->close(f.store);
    open_store(&f, driver);
    check_range(&f, &ref, (const uint8_t *)"hello", 0, 5, 5);
    tear_down(&f);
}

static void test_aside(const struct blob_driver *driver, bool is_sealing)
{
    struct fixture f;
    struct error err = { 0 };
    int64_t removed = 0;
    set_up(&f, driver, is_sealing);

    assert_int_equal(driver->sweep_aside(f.store, 0, &removed, &err), 0);
    assert_int_equal(removed, 0);
    struct blob_ref ref = put(&f, "hello", 5, 5);
    assert_int_equal(driver->set_aside(f.store, &ref.digest, &err), 0);
    assert_int_equal(driver->set_aside(f.store, &ref.digest, &err), 0);
    assert_int_equal(driver->exists(f.store, &ref.digest, &err), 0);
    assert_int_equal(driver->sweep_aside(f.store, 3600, &removed, &err), 0);
    assert_int_equal(removed, 0);
    /* What is aside is in nobody's way. */
    ref = put(&f, "hello", 5, 5);
    assert_int_equal(driver->sweep_aside(f.store, 0, &removed, &err), 0);
    assert_int_equal(removed, 1);
    check_range(&f, &ref, (const uint8_t *)"hello", 0, 5, 5);
    tear_down(&f);
}

static void test_sha512(const struct blob_driver *driver, bool is_sealing)
{
    struct fixture f;
    struct error err = { 0 };
    size_t len = 300001;
    uint8_t *bytes = pattern(len);
    struct digest expected, got;
    set_up(&f, driver, is_sealing);
    digest_of(DIGEST_SHA512, bytes, len, &expected);
    for (int is_hinted = 0; is_hinted <= 1; is_hinted++) {
        struct blob_writer *w = NULL;
        assert_int_equal(blob_writer_new(f.store, is_hinted, &w, &err), 0);
        assert_int_equal(blob_writer_add(w, bytes, len, &err), 0);
        assert_int_equal(blob_writer_finish(w, &err), 0);
        assert_int_equal(blob_writer_digest(w, DIGEST_SHA512, &got, &err), 0);
        assert_true(digest_equal(&expected, &got));
        blob_writer_free(w);
    }
    free(bytes);
    tear_down(&f);
}

static size_t count_files(const char *root, const char *below)
{
    char path[PATH_MAX];
    size_t count = 0;
    (void)snprintf(path, sizeof(path), "%s/%s", root, below);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

static void test_temporary_files(const struct blob_driver *driver, bool is_sealing)
{
    struct fixture f;
    struct error err = { 0 };
    struct blob_writer *w = NULL;
    set_up(&f, driver, is_sealing);
    assert_int_equal(blob_writer_new(f.store, false, &w, &err), 0);
    assert_int_equal(blob_writer_add(w, "abc", 3, &err), 0);
    assert_int_equal(count_files(f.root, "tmp"), 1);
    blob_writer_free(w);
    assert_int_equal(count_files(f.root, "tmp"), 0);
    /* What a killed process left. */
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/tmp/left-over", f.root);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(driver->sweep(f.store, &err), 0);
    assert_int_equal(count_files(f.root, "tmp"), 0);
    tear_down(&f);
}

/* The one file of the content with that digest. */
static void content_path(const struct fixture *f, const struct digest *d, char ret[PATH_MAX])
{
    char hex[2 * SHA512_LEN + 1];
    digest_hex(d, hex);
    (void)snprintf(ret, PATH_MAX, "%s/blobs/sha256/%.2s/%s", f->root, hex, hex);
}

static void expect_refused(struct fixture *f, const struct blob_ref *ref)
{
    const struct blob_driver *d = f->store->driver;
    struct error err = { 0 };
    struct blob_reader *reader = NULL;
    static uint8_t buf[400000];
    ssize_t n = d->get(f->store, ref, &reader, &err);
    for (uint64_t at = 0; n > 0 && at < ref->size; at += (uint64_t)n)
        n = d->read(reader, at, buf, sizeof(buf), &err);
    assert_int_equal(n, -1);
    assert_ptr_equal(err.code, &E_INTERNAL);
    d->release(reader);
}

/* A file of the directory driver that was changed behind its back. */
static void test_tampering(void **state)
{
    (void)state;
    const size_t len = 200000;
    uint8_t *bytes = pattern(len);
    struct fixture f;
    struct error err = { 0 };
    char path[PATH_MAX], other[PATH_MAX], *file = NULL;
    size_t file_len = 0;
    struct stat st;
    memcpy(bytes + 70000, CANARY, sizeof(CANARY));
    set_up(&f, &blob_directory_driver, true);
    struct blob_ref ref = put(&f, bytes, len, 1000);
    content_path(&f, &ref.digest, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, seal_file_bytes(len));

    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    file_len = (size_t)st.st_size;
    file = malloc(file_len);
    assert_non_null(file);
    assert_int_equal(pread(fd, file, file_len, 0), file_len);
    assert_null(memmem(file, file_len, CANARY, strlen(CANARY)));

    static const size_t flips[] = { 0, 20, 39, 40, 70000, 199990 };
    for (size_t i = 0; i < ARRAY_LEN(flips); i++) {
        char c = (char)(file[flips[i]] ^ 4);
        assert_int_equal(pwrite(fd, &c, 1, (off_t)flips[i]), 1);
        expect_refused(&f, &ref);
        assert_int_equal(pwrite(fd, file + flips[i], 1, (off_t)flips[i]), 1);
    }
    check_range(&f, &ref, bytes, 0, len, len);
    /* Cut, then cut at a chunk's end with a size to match, then another blob's file. */
    assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
    expect_refused(&f, &ref);
    struct blob_ref shorter = ref;
    shorter.size = SEAL_CHUNK_BYTES;
    assert_int_equal(ftruncate(fd, (off_t)seal_file_bytes(shorter.size)), 0);
    expect_refused(&f, &shorter);
    (void)close(fd);
    bytes[0] ^= 1;
    struct blob_ref second = put(&f, bytes, len, len);
    content_path(&f, &second.digest, other);
    assert_int_equal(rename(other, path), 0);
    expect_refused(&f, &ref);
    (void)err;
    free(file);
    free(bytes);
    tear_down(&f);
}

static void test_plain(void **state)
{
    (void)state;
    struct fixture f;
    struct error err = { 0 };
    for (int is_sealing = 0; is_sealing <= 1; is_sealing++) {
        struct blob_reader *reader = NULL;
        set_up(&f, &blob_directory_driver, is_sealing);
        struct blob_ref ref = put(&f, "hello", 5, 5);
        assert_int_equal(blob_directory_driver.get(f.store, &ref, &reader, &err), 1);
        struct blob_plain plain;
        assert_int_equal(blob_directory_driver.plain(reader, &plain), !is_sealing);
        assert_null(plain.bytes);
        assert_int_equal(plain.fd >= 0, !is_sealing);
        if (plain.fd >= 0)
            (void)close(plain.fd);
        blob_directory_driver.release(reader);
        tear_down(&f);
    }
}

static bool has_plain(struct blob_reader *reader)
{
    struct blob_plain plain;
    bool has = blob_directory_driver.plain(reader, &plain);

    if (plain.fd >= 0)
        (void)close(plain.fd);
    return has;
}

/* The bytes are in memory by now. */
static void expect_plain(struct blob_reader *reader, const uint8_t *bytes, size_t len)
{
    struct blob_plain plain;

    assert_true(blob_directory_driver.plain(reader, &plain));
    assert_int_equal(plain.fd, -1);
    assert_memory_equal(plain.bytes, bytes, len);
}

/* What is wanted again is opened once for all: by then no file is needed any more, until the content
 * is another one. */
static void test_shared_bytes(void **state)
{
    const struct blob_driver *d = &blob_directory_driver;
    const size_t len = 3 * SEAL_CHUNK_BYTES + 123;
    struct error err = { 0 };

    (void)state;
    for (int is_sealing = 0; is_sealing <= 1; is_sealing++) {
        struct blob_reader *one = NULL, *two = NULL, *three = NULL;
        uint8_t piece[1000];
        struct fixture f;

        set_up(&f, d, is_sealing);
        uint8_t *bytes = pattern(len);
        struct blob_ref ref = put(&f, bytes, len, len);
        assert_int_equal(d->get_now(f.store, &ref, &three), 0);
        assert_int_equal(d->get(f.store, &ref, &one, &err), 1);
        assert_int_equal(has_plain(one), !is_sealing);
        assert_int_equal(d->get_now(f.store, &ref, &three), 0);
        assert_int_equal(d->get(f.store, &ref, &two, &err), 1);
        expect_plain(two, bytes, len);
        if (is_sealing) {
            assert_int_equal(d->read(one, 70000, piece, sizeof(piece), &err), sizeof(piece));
            assert_memory_equal(piece, bytes + 70000, sizeof(piece));
        }
        d->release(two);
        assert_int_equal(d->get_now(f.store, &ref, &three), 1);
        if (is_sealing) {
            assert_int_equal(d->read_now(three, 65000, piece, sizeof(piece), &err), sizeof(piece));
            assert_memory_equal(piece, bytes + 65000, sizeof(piece));
        }
        expect_plain(three, bytes, len);
        if (is_sealing)
            assert_int_equal(d->read(three, len - 10, piece, sizeof(piece), &err), 10);
        expect_plain(one, bytes, len);
        d->release(one);

        assert_int_equal(d->remove(f.store, &ref.digest, &err), 0);
        assert_int_equal(d->get_now(f.store, &ref, &two), 0);
        assert_int_equal(d->get(f.store, &ref, &two, &err), 0);
        expect_plain(three, bytes, len); /* who reads may go on */
        d->release(three);

        ref = put(&f, bytes, len, len);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(d->get(f.store, &ref, &one, &err), 1);
            (void)has_plain(one);
            d->release(one);
        }
        assert_int_equal(d->get_now(f.store, &ref, &one), 1);
        d->release(one);
        assert_int_equal(d->set_aside(f.store, &ref.digest, &err), 0);
        assert_int_equal(d->get_now(f.store, &ref, &one), 0);
        free(bytes);
        tear_down(&f);
    }
}

static bool visit(struct fixture *f, const struct blob_ref *ref, struct blob_reader **ret)
{
    struct error err = { 0 };

    assert_int_equal(f->store->driver->get(f->store, ref, ret, &err), 1);
    return has_plain(*ret);
}

/* Of a plain file that is larger than all of the memory the descriptor is as good. */
static void test_large_plain(void **state)
{
    const struct blob_driver *d = &blob_directory_driver;
    const size_t len = 300000;
    struct blob_reader *reader = NULL;
    struct error err = { 0 };
    struct blob_plain plain;
    struct fixture f;

    (void)state;
    set_up(&f, d, false);
    uint8_t *large = pattern(len);
    struct blob_ref ref = put(&f, large, len, len);

    for (int i = 0; i < 3; i++) {
        assert_int_equal(d->get(f.store, &ref, &reader, &err), 1);
        assert_true(d->plain(reader, &plain));
        assert_null(plain.bytes);
        assert_true(plain.fd >= 0);
        (void)close(plain.fd);
        d->release(reader);
    }
    free(large);
    tear_down(&f);
}

/* Opened content is bounded: what is being read stays, what is not makes room. */
static void test_hot_bytes(void **state)
{
    const struct blob_driver *d = &blob_directory_driver;
    const size_t len = 120000;
    struct blob_reader *readers[4] = { 0 };
    struct fixture f;

    (void)state;
    set_up(&f, d, true);
    uint8_t *bytes = pattern(len), *large = pattern(300000);
    struct blob_ref big = put(&f, large, 300000, 1000), first = put(&f, bytes, len, len);
    bytes[0] ^= 1;
    struct blob_ref second = put(&f, bytes, len, len);

    assert_false(visit(&f, &first, &readers[0]));
    assert_true(visit(&f, &first, &readers[1]));
    assert_false(visit(&f, &second, &readers[2]));
    assert_false(visit(&f, &second, &readers[3]));
    d->release(readers[0]);
    d->release(readers[1]);
    expect_plain(readers[3], bytes, len);
    assert_int_equal(d->get_now(f.store, &first, &readers[0]), 0);
    d->release(readers[2]);
    d->release(readers[3]);
    for (int i = 0; i < 4; i++)
        assert_false(visit(&f, &big, &readers[i]));
    for (int i = 0; i < 4; i++)
        d->release(readers[i]);
    d->rest(f.store);
    free(bytes);
    free(large);
    tear_down(&f);
}

/* Who only reads, as the scrubber does, sees the file, whatever is held of it in memory. */
static void test_read_beside_hot(void **state)
{
    const size_t len = 3 * SEAL_CHUNK_BYTES;
    struct blob_reader *one = NULL, *two = NULL;
    struct fixture f;
    char path[PATH_MAX];

    (void)state;
    set_up(&f, &blob_directory_driver, true);
    uint8_t *bytes = pattern(len);
    struct blob_ref ref = put(&f, bytes, len, len);
    assert_false(visit(&f, &ref, &one));
    assert_true(visit(&f, &ref, &two));
    content_path(&f, &ref.digest, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, SEAL_HEADER_BYTES + 70000), 4);
    (void)close(fd);
    expect_refused(&f, &ref);
    expect_plain(two, bytes, len);
    f.store->driver->release(one);
    f.store->driver->release(two);
    free(bytes);
    tear_down(&f);
}

/* Damaged content is not opened for anybody. */
static void test_damaged_bytes(void **state)
{
    const size_t len = 3 * SEAL_CHUNK_BYTES + 123;
    struct blob_reader *one = NULL, *two = NULL;
    struct fixture f;
    char path[PATH_MAX];

    (void)state;
    set_up(&f, &blob_directory_driver, true);
    uint8_t *bytes = pattern(len);
    struct blob_ref ref = put(&f, bytes, len, len);
    content_path(&f, &ref.digest, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, SEAL_HEADER_BYTES + 70000), 4);
    (void)close(fd);
    assert_false(visit(&f, &ref, &one));
    assert_false(visit(&f, &ref, &two));
    f.store->driver->release(one);
    f.store->driver->release(two);
    free(bytes);
    tear_down(&f);
}

struct crowd {
    struct fixture *f;
    struct blob_ref ref;
    const uint8_t *bytes;
    size_t piece;
};

/* Pieces of one size, by turns at once and with waiting. */
static void *read_pieces(void *arg)
{
    const struct crowd *crowd = arg;
    const struct blob_driver *d = &blob_directory_driver;
    struct blob_reader *reader = NULL;
    struct error err = { 0 };
    uint8_t *buf = malloc(crowd->piece);
    uint64_t at = 0;

    assert_int_equal(d->get(crowd->f->store, &crowd->ref, &reader, &err), 1);
    for (unsigned turn = 0; at < crowd->ref.size; turn++) {
        ssize_t n = turn % 3 ? d->read_now(reader, at, buf, crowd->piece, &err)
                             : d->read(reader, at, buf, crowd->piece, &err);
        if (n == BLOB_LATER && turn % 3)
            continue;
        assert_true(n > 0 && (size_t)n <= crowd->piece);
        assert_memory_equal(buf, crowd->bytes + at, (size_t)n);
        at += (uint64_t)n;
    }
    assert_int_equal(d->read_now(reader, at, buf, crowd->piece, &err), 0);
    d->release(reader);
    free(buf);
    return NULL;
}

static void test_crowd(void **state)
{
    static const size_t pieces[] = { 1000, 8192, 65536, 65537, 200000, 300000 };
    const size_t len = 5 * SEAL_CHUNK_BYTES + 77;
    pthread_t threads[12];
    struct crowd crowds[12];
    struct fixture f;

    (void)state;
    for (int is_sealing = 0; is_sealing <= 1; is_sealing++) {
        set_up(&f, &blob_directory_driver, is_sealing);
        uint8_t *bytes = pattern(len);
        struct blob_ref ref = put(&f, bytes, len, len);
        for (size_t i = 0; i < 12; i++) {
            crowds[i] = (struct crowd){ &f, ref, bytes, pieces[i % 6] };
            assert_int_equal(pthread_create(&threads[i], NULL, read_pieces, &crowds[i]), 0);
        }
        for (size_t i = 0; i < 12; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        free(bytes);
        tear_down(&f);
    }
}

static void test_every_driver(void **state)
{
    (void)state;
    for (size_t i = 0; blob_drivers[i]; i++) {
        for (int is_sealing = 0; is_sealing <= 1; is_sealing++) {
            test_round_trip(blob_drivers[i], is_sealing);
            test_life(blob_drivers[i], is_sealing);
            test_aside(blob_drivers[i], is_sealing);
            test_sha512(blob_drivers[i], is_sealing);
            test_temporary_files(blob_drivers[i], is_sealing);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_driver),
        cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_shared_bytes),
        cmocka_unit_test(test_large_plain),
        cmocka_unit_test(test_hot_bytes),
        cmocka_unit_test(test_read_beside_hot),
        cmocka_unit_test(test_damaged_bytes),
        cmocka_unit_test(test_crowd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
