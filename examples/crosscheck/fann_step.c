/* One step of FANN's iRprop- on arrays of doubles, for `rprop_ref.crosscheck.from_fann`.

       apt-get install libfann-dev
       cc -O2 -shared -fPIC -o libfann_step.so fann_step.c -ldoublefann

   FANN's slope is the negative gradient. Its function takes the arrays and the hyperparameters from a network, so this
   makes one that has nothing else, and calls it. */
#include <doublefann.h>
#include <fann_internal.h>

void fann_step(unsigned int n, double *weights, double *slopes, double *previous_slopes, double *steps,
               const double etas[2], const double limits[2])
{
    struct fann network = {0};
    network.weights = weights;
    network.train_slopes = slopes;
    network.prev_train_slopes = previous_slopes;
    network.prev_steps = steps;
    network.rprop_decrease_factor = (float)etas[0];
    network.rprop_increase_factor = (float)etas[1];
    network.rprop_delta_min = (float)limits[0];
    network.rprop_delta_max = (float)limits[1];
    fann_update_weights_irpropm(&network, 0, n);
}
