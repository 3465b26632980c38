#pragma once
#include <stdint.h>
#include <stdlib.h>
