#ifndef CK_SPARSE_H
#define CK_SPARSE_H
#endif
